-- What the shop began with. The consumer's offset is committed in the transaction that writes its movements: each
-- message has its effect once, and `messages` says how many had.
CREATE TABLE orders (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  customer text NOT NULL,
  item text NOT NULL,
  quantity integer NOT NULL CHECK (quantity > 0),
  idempotency_key text NOT NULL UNIQUE,
  correlation_id text NOT NULL,
  created_at timestamptz NOT NULL DEFAULT now()
);

CREATE INDEX orders_correlation_id ON orders (correlation_id);

CREATE TABLE consumer_offsets (
  topic text PRIMARY KEY,
  position bigint NOT NULL DEFAULT 0,
  messages bigint NOT NULL DEFAULT 0,
  heartbeat_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE stock_movements (
  message_id text PRIMARY KEY,
  topic text NOT NULL REFERENCES consumer_offsets,
  sku text NOT NULL,
  delta integer NOT NULL,
  consumed_at timestamptz NOT NULL DEFAULT now()
);

-- No key on purpose: a migration that took effect twice would leave two rows.
CREATE TABLE migration_audit (
  migration text NOT NULL,
  applied_at timestamptz NOT NULL DEFAULT now()
);
