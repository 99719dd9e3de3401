from ipaddress import IPv4Network

from appliance.core.routes import Route, parse_routes


def test_routes_are_read_in_the_order_in_which_the_kernel_tells_them() -> None:
    table = (
        "Iface Destination Gateway Flags RefCnt Use Metric Mask MTU Window IRTT\n"
        "eth0 00000000 0100000A 0003 0 0 0 00000000 0 0 0\n"
        "br0 2000D50A 00000000 0001 0 0 0 E0FFFFFF 0 0 0\n"
    )

    assert parse_routes(table) == [
        Route("eth0", IPv4Network("0.0.0.0/0"), has_gateway=True),
        Route("br0", IPv4Network("10.213.0.32/27"), has_gateway=False),
    ]
