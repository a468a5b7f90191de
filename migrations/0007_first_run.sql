-- The first execution of the chain that opened the run: a reset, or a workflow that goes on as new, keeps it. Null: workflow_run_id.
alter table runs add column first_run_id text;
