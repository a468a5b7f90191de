"""A migration tool of its own: migrations.json in the working folder, a ledger, one transaction for each migration."""
import json, os, sys
import psycopg2

verb, target = sys.argv[1], sys.argv[2] if len(sys.argv) > 2 else None
with open('migrations.json') as file:
    migrations = json.load(file)
versions = [one['version'] for one in migrations]
connection = psycopg2.connect(os.environ['DATABASE_URL'])
cursor = connection.cursor()
cursor.execute("select to_regclass('public.tool_ledger') is not null")
applied = []
if cursor.fetchone()[0]:
    cursor.execute('select version from tool_ledger')
    applied = [row[0] for row in cursor.fetchall()]
connection.rollback()

def in_transaction(statements):
    for statement in ['create table if not exists tool_ledger (version text)', *statements]:
        cursor.execute(statement)
    connection.commit()

if verb == 'status':
    told = [{'version': one['version'], 'state': 'applied' if one['version'] in applied else 'pending',
             'phase': one.get('phase', 'expand'), 'sql': ';'.join(one['up'])} for one in migrations]
    print(json.dumps({'migrations': told}))
elif verb == 'up':
    for one in migrations[:versions.index(target) + 1]:
        if one['version'] not in applied:
            in_transaction([*one['up'], "insert into tool_ledger values ('%s')" % one['version']])
else:
    first = versions.index(target) + 1 if target in versions else 0
    for one in reversed(migrations[first:]):
        if one['version'] in applied:
            in_transaction([one['down'], "delete from tool_ledger where version = '%s'" % one['version']])
