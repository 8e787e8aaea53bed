"""Connections to the database: whatever is used when it is closed, none stays open."""

import pytest

from sovereign.store.configuration import StoreConfig
from sovereign.store.database import Database


def refused(database, connection):
    """Whether the driver's connection is closed."""
    with pytest.raises(database.engine.dialect.loaded_dbapi.Error, match="closed"):
        connection.execute("SELECT 1")
    return True


@pytest.mark.parametrize("way", [Database.reading, Database.writing])
def test_connection_when_the_database_is_closed_while_it_is_used_then_serves_to_the_end_and_is_closed(way, store_url):
    database = Database(StoreConfig(url=store_url))
    with way(database) as connection:
        driver = connection.connection.driver_connection
        database.close()
        assert connection.exec_driver_sql("SELECT 1").scalar() == 1
    assert refused(database, driver)


@pytest.mark.parametrize("way", [Database.reading, Database.writing])
def test_connection_when_the_database_was_closed_before_then_is_closed_after_its_use(way, store_url):
    database = Database(StoreConfig(url=store_url))
    database.close()
    with way(database) as connection:
        driver = connection.connection.driver_connection
    assert refused(database, driver)


def test_connection_when_the_database_is_open_then_is_kept_for_the_next_use(store_url):
    database = Database(StoreConfig(url=store_url))
    used = []
    for _ in range(2):
        with database.reading() as connection:
            used.append(connection.connection.driver_connection)
    assert used[0] is used[1]
    database.close()
    assert refused(database, used[0])
