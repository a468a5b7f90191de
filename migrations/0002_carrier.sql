-- Which workflow carries the run: an older one that comes back must not act beside a recovery that took it over.
alter table runs add column carrier text;
update runs set carrier = workflow_id;
-- The Temporal that knows the workflow: one that never knew it cannot tell that it is gone.
alter table runs add column engine text not null default '';
