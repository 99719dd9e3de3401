"""Whether a server truly answers: what is asked, how often, and what is made of it."""
