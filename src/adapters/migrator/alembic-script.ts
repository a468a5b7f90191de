/**
 * Prints an Alembic project's revisions, oldest first, one JSON line each. It reads the scripts as Alembic does, never
 * env.py, and connects to nothing. Fed to the interpreter that Alembic itself runs on; argument: the configuration's path.
 */
export const ALEMBIC_SCRIPT = `
import ast, hashlib, json, sys, warnings

def tell(**line):
    print(json.dumps(line), flush=True)

def function(tree, name):
    return next((n for n in tree.body if isinstance(n, ast.FunctionDef) and n.name == name), None)

def only(node, *kinds):
    def idle(s):
        return isinstance(s, kinds) or (isinstance(s, ast.Expr) and isinstance(s.value, ast.Constant))
    return node is not None and all(idle(s) for s in node.body)

def has_down(up, down):
    # A merge does nothing either way.
    if only(up, ast.Pass) and only(down, ast.Pass):
        return True
    return down is not None and not only(down, ast.Pass, ast.Raise)

def leaves_transaction(node):
    return node is not None and any(isinstance(n, ast.Attribute) and n.attr == 'autocommit_block' for n in ast.walk(node))

def leading(text):
    lines = []
    for line in text.splitlines():
        if line.strip() and not line.lstrip().startswith('#'):
            break
        lines.append(line)
    return lines

def describe(script):
    with open(script.path, 'rb') as file:
        data = file.read()
    text = data.decode('utf-8')
    tree = ast.parse(text)
    down = script.down_revision
    tell(revision=script.revision, down=list(down) if isinstance(down, tuple) else [down] if down else [],
         dependsOn=sorted(script._resolved_dependencies), name=(script.doc or '').strip(), path=script.path,
         comment='\\n'.join(leading(text) + [ast.get_docstring(tree) or '']),
         checksum=hashlib.sha256(data).hexdigest(), hasDown=has_down(function(tree, 'upgrade'), function(tree, 'downgrade')),
         leavesTransaction=leaves_transaction(function(tree, 'upgrade')),
         downLeavesTransaction=leaves_transaction(function(tree, 'downgrade')))

try:
    from alembic import __version__ as version
    from alembic.config import Config
    from alembic.script import ScriptDirectory
except ImportError as error:
    tell(missing=str(error))
    sys.exit(0)
try:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter('always')
        scripts = ScriptDirectory.from_config(Config(sys.argv[1]))
        heads = sorted(scripts.get_heads())
        revisions = list(scripts.walk_revisions())
    twice = [str(w.message) for w in caught if 'present more than once' in str(w.message)]
    if twice:
        tell(error=twice[0])
        sys.exit(0)
    tell(version=version, heads=heads)
    for script in reversed(revisions):
        describe(script)
except Exception as error:
    tell(error='%s: %s' % (type(error).__name__, error))
`
