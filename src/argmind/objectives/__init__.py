"""How an energy learns: each objective is a module whose forward gives a loss."""
