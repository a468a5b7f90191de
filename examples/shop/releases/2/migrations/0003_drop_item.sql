-- headgate:phase=contract
-- Release 1 cannot run after this one. Orders it wrote after the expand have no number yet.
UPDATE orders SET sku = lower(replace(item, ' ', '-')) WHERE sku IS NULL;

ALTER TABLE orders ALTER COLUMN sku SET NOT NULL;

ALTER TABLE orders DROP COLUMN item;
