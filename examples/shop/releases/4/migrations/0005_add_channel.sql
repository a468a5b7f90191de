-- Slow on purpose, about seven seconds in one transaction: time to kill what runs it. Nothing in it would stop a second
-- application, so the audit's one row proves that there was none.
ALTER TABLE orders ADD COLUMN IF NOT EXISTS channel text;

INSERT INTO migration_audit (migration) VALUES ('0005_add_channel');

UPDATE orders SET channel = 'web' WHERE channel IS NULL AND id % 7 = 0;
SELECT pg_sleep(1);

UPDATE orders SET channel = 'web' WHERE channel IS NULL AND id % 7 = 1;
SELECT pg_sleep(1);

UPDATE orders SET channel = 'web' WHERE channel IS NULL AND id % 7 = 2;
SELECT pg_sleep(1);

UPDATE orders SET channel = 'web' WHERE channel IS NULL AND id % 7 = 3;
SELECT pg_sleep(1);

UPDATE orders SET channel = 'web' WHERE channel IS NULL AND id % 7 = 4;
SELECT pg_sleep(1);

UPDATE orders SET channel = 'web' WHERE channel IS NULL AND id % 7 = 5;
SELECT pg_sleep(1);

UPDATE orders SET channel = 'web' WHERE channel IS NULL AND id % 7 = 6;
SELECT pg_sleep(1);
