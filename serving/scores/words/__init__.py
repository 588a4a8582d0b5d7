"""Reasons in words: values, comparisons with peers, sentences, and their order."""
