alter table orders drop column legacy_code;
