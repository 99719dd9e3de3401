"""Drivers: each makes one client that nobody here wrote do eight deeds, and prints how they ended as one JSON object.

The deeds and the words by which success is known are the same for every driver (``tests/fixtures/node/`` has those for Node):
``list`` sees the tools, ``call`` gets a text, ``progress`` hears of three steps in order, ``cancel`` gives up on a call and the
server's tool learns of it, ``read`` gets a resource, ``prompt`` a prompt, ``sample`` and ``elicit`` are asked back in mid-call.
A deed's value is ``"ok"``, or why it did not work.
"""
