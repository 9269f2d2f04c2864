"""Who may say what a model is: the operator's policy, what was found about a model, and the decision."""
