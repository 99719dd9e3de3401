-- A key may have a successor; it works on until its own end, so that whoever uses it has time to change.
-- Safe under load: a column without a default, and a reference that is checked against a column that is empty.

ALTER TABLE api_keys ADD COLUMN replaced_by bigint REFERENCES api_keys ON DELETE SET NULL;
