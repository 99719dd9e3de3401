"""How one version takes the place of another, and how it goes back."""
