"""What a trust function may see of weak labels, and the stages behind it. Gold may not enter, but for the privileged track."""
