"""The words every room shares: instruments, money, time, columns, orders, events, ports and errors. No I/O."""
