"""Operations: schedules, heartbeat, guard, kill, doctor, service files, logs, health and metrics."""
