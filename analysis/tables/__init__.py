"""What the tables of one run or several say, as tables again."""
