"""The names of servers: who may have one, whether it points here, and how far it is."""
