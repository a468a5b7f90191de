-- When the server began the count that gate_sessions is of: a crash or a reset begins another one.
alter table runs add column gate_counted_since text;
