"""Names of files from URLs."""

import pytest
from tuner import filenames


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("/a/train.parquet", "train.parquet"),
        ("/a/train.parquet?sv=1&sig=x/y.csv", "train.parquet"),
        ("/a/train.parquet#x", "train.parquet"),
        ("/a/train.parquet/", "train.parquet"),
        ("/a/my%20rows.csv", "my rows.csv"),
        ("/a/..%2F..%2Fetc%2Fpasswd", "_.._etc_passwd"),
        ("/a/%2e%2e", "data"),
        ("/a/.hidden.csv", "hidden.csv"),
        ("/a/x%00y%0a.csv", "x_y_.csv"),
        ("/a/x%5Cy.csv", "x_y.csv"),
        ("/a/caf%C3%A9.csv", "café.csv"),
        ("/a/%FF.csv", "_.csv"),
        ("/a/a%2525.csv", "a_25.csv"),
        ("/", "data"),
        ("", "data"),
        ("/%20", "data"),
        ("/-rf", "-rf"),
        ("/" + "x" * 300 + ".parquet", "x" * 192 + ".parquet"),
        ("/" + "%C3%A9" * 300 + ".csv", "é" * 98 + ".csv"),
    ],
)
def test_a_name_is_the_last_part_of_the_path(path, name):
    url = f"https://host{path}"
    assert filenames.names([url]) == {url: name}


def test_collisions_are_numbered_in_order():
    urls = [
        f"https://host/{path}" for path in ("a/t.csv", "t-2.csv", "b/t.csv", "c/t.csv", "a/t.csv", "n", "m/n")
    ]
    assert list(filenames.names(urls).values()) == ["t.csv", "t-2.csv", "t-3.csv", "t-4.csv", "n", "n-2"]
