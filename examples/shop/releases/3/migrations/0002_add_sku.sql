-- Expand: the article's number beside its name. Release 1 goes on writing `item` and knows nothing of `sku`.
ALTER TABLE orders ADD COLUMN sku text;

UPDATE orders SET sku = lower(replace(item, ' ', '-'));

CREATE INDEX orders_sku ON orders (sku);
