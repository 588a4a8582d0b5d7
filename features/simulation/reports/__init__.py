"""What becomes known each month: traces, reports of dealers, seizures, tips, leads."""
