"""What lies in a server's ``/data``: listed, brought, fetched and removed from outside."""
