alter table bookings add column provider bigint;
alter table bookings add constraint bookings_provider_fkey foreign key (provider) references providers not valid;
