-- headgate:no-transaction
-- Broken on purpose: the column and its values are committed, then the index meets customers who ordered an article
-- twice. Nothing a down migration or another try could repair: the way back is the database as it was.
ALTER TABLE orders ADD COLUMN half_applied text;

UPDATE orders SET half_applied = customer || '/' || sku;

CREATE UNIQUE INDEX CONCURRENTLY orders_once_per_customer ON orders (half_applied);
