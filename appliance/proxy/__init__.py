"""The front door: Nginx before hub and gateway, and the controller that keeps its configuration. A process of its own.

Nginx knows no domain: it finds a certificate by the name that a client asks for, and the gateway knows whose a name is. So a
new domain or certificate is a row and a file, and Nginx is reloaded only for settings and wildcards.
"""
