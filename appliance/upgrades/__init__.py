"""Going from one release to another and back, so that no call notices. Runs beside the appliance, as root."""
