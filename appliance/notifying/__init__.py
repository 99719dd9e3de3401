"""How people and programs outside are told: e-mail, and signed calls."""
