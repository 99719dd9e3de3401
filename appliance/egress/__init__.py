"""Where servers' packets go: names, connections and rules, in a process of its own."""
