/** What the parts of the query may ask about the reader. */
export interface SchemaReader {
  /** `150018`. */
  version: number
  isSuperuser: boolean
}

/** Objects made by users have oids from here on; those below belong to the system. */
export const FIRST_USER_OID = 16384
/** The definition of a secret that the reader may not see: it is not compared. */
export const UNREADABLE = 'unreadable'

/** Grants, in one order, the built-in ones spelled out; the owner by that word where `owner` is given its column. */
export const grants = (column: string, kind: string, owner: string): string =>
  `coalesce((select string_agg(x::text, ',' order by x::text collate "C") from unnest(coalesce(${column}, acldefault('${kind}', ${owner}))) x), '')`

/** Options whose values may be secrets: names stay, values become 8 hex digits. Enough to see a change, too little to tell the value. */
export const hiddenOptions = (column: string): string =>
  `coalesce((select string_agg(split_part(o, '=', 1) || '~' || left(encode(sha256(convert_to(substr(o, strpos(o, '=') + 1), 'UTF8')), 'hex'), 8), ',' order by o collate "C") from unnest(${column}) o), '')`

/** `false` for members of extensions: they stand for themselves by the extension's version. */
export const ownObject = (classId: string, oid: string): string =>
  `${oid} >= ${FIRST_USER_OID} and not exists (select from ext where ext.classid = '${classId}'::regclass and ext.objid = ${oid})`

/** `schema.name`, quoted where needed. */
export const qualified = (namespace: string, name: string): string =>
  `format('%s.%I', ${namespace}::regnamespace, ${name})`
