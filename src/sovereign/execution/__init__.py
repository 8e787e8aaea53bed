"""Order life cycle, brackets, money, brokers."""
