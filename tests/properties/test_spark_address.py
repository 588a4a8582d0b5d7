"""The address of a Spark cluster is checked before Java is started, and its silence is told."""

import pytest
from py4j.protocol import Py4JError
from pyspark.sql import SparkSession

from features.engine import spark
from features.errors import FeatureError


@pytest.fixture(autouse=True)
def java(monkeypatch):
    monkeypatch.setenv("JAVA_HOME", "anywhere")
    monkeypatch.setenv("SPARK_LOCAL_IP", "127.0.0.1")
    monkeypatch.setenv("PYSPARK_PYTHON", "python")
    monkeypatch.setattr(SparkSession.Builder, "getOrCreate", refusing)


def refusing(self):
    raise Py4JError("All masters are unresponsive!")


@pytest.mark.parametrize(
    "address",
    ["head:7077", "spark://head", "spark:/head:7077", "local[", "local[0]", "https://head:7077",
     "spark://head:7077 --conf x=y", "Yarn"],
)  # fmt: skip
def test_an_address_that_spark_does_not_know_is_named(address, monkeypatch):
    monkeypatch.setenv(spark.MASTER, address)
    with pytest.raises(FeatureError, match=spark.MASTER) as refused:
        spark.session()
    assert address in refused.value.found
    assert "spark://HOST:PORT" in refused.value.expected


@pytest.mark.parametrize(
    "address",
    ["", "  ", "local", "local[2]", "local[*,3]", "spark://head:7077", "spark://a:7077,b-2.org:7077",
     "yarn", "k8s://https://10.0.0.1:6443"],
)  # fmt: skip
def test_a_cluster_that_does_not_answer_is_an_error_with_its_address(address, monkeypatch):
    monkeypatch.setenv(spark.MASTER, address)
    with pytest.raises(spark.EngineMissingError, match="Spark did not start") as refused:
        spark.session()
    assert refused.value.expected.endswith(address.strip() or "local[*]")
    assert "unresponsive" in refused.value.found
