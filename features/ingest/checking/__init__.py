"""Is a row good, and if not, what is said of it: conversion, checks, rejects, advice."""
