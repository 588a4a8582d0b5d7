"""What the state asks of a buyer, and what was stolen lately."""

from features.signals.own import Y1, Context, FamilyColumns, Signal, Sum, covariate

SIGNALS = (
    Signal(name="permits_required", family="permits", unit="yes or no", table="area_covariates",
           definition="1 where a permit to purchase is required on the date.", direction=-1,
           reason="A permit to purchase is required: {value}", reference="Laws of the states"),
    Signal(name="permits_burglaries_1y", family="permits", unit="reports", table="thefts_losses",
           definition="Burglaries reported in a year.", direction=1, window="1y",
           reason="{value} burglaries reported in a year", reference="Own records",
           restriction="restricted"),
)  # fmt: skip


def build(context: Context) -> FamilyColumns:
    """Return one value a row of the context for each signal."""
    required, why = covariate(context, "permit_required")
    counts = context.grids("thefts_losses", [Sum("burglaries", (Y1,), "kind = 'burglary'")])
    columns = {"permits_required": required, "permits_burglaries_1y": counts["burglaries_1y"]}
    return FamilyColumns(columns, {"permits_required": why})
