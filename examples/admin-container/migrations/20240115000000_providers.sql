create table providers (id bigint generated always as identity primary key, name text not null unique);
insert into providers (name) values ('first'), ('second');
