"""Readers and detection of Huawei's Ascend devices."""
