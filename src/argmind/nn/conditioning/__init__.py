"""How an energy model is told which thinking step it scores."""
