# Begins each of the scripts. They run in containers of the task definitions that dump.go declares.
set -eu
umask 077

fail() {
	echo "$*" >&2
	exit 1
}

# Whatever psql runs must find PostgreSQL's functions and operators only: services create others of the same
# names in the schema public, which would run as the user of the dumps.
export PGOPTIONS="${PGOPTIONS:+$PGOPTIONS }-c search_path=pg_catalog"

# writable ends the script unless a folder can be written to: a volume is root's alone, unless the
# image declares a volume at the same path.
writable() {
	[ -w "$1" ] || fail "user $(id -u) cannot write to $1: want an image that declares a volume there," \
		"as PostgreSQL's official image does"
}

# counts prints the rows of each table and each materialised view, and the number of large objects, of
# the database that libpq connects to. The tables of extensions are not counted, because they are not
# restored.
counts() {
	psql -XAtq -v ON_ERROR_STOP=1 <<-'SQL'
		SELECT format('SELECT %L, count(*) FROM ONLY %I.%I', quote_ident(nspname) || '.' || quote_ident(relname),
				nspname, relname)
			FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace
			WHERE relkind IN ('r', 'm') AND relispopulated AND nspname !~ '^pg_' AND nspname <> 'information_schema'
				AND NOT EXISTS (SELECT FROM pg_depend
					WHERE classid = 'pg_class'::regclass AND objid = c.oid AND deptype = 'e')
			ORDER BY (quote_ident(nspname) || '.' || quote_ident(relname)) COLLATE "C" \gexec
		SELECT 'large objects', count(*) FROM pg_largeobject_metadata
	SQL
}

# totals reads what counts prints, and prints it in the form of an object's metadata.
totals() {
	printf 'tables=%s,rows=%s,counts=%s' "$(($(wc -l <"$1") - 1))" \
		"$(awk -F '|' '{ n += $NF } END { printf "%.0f", n }' "$1")" "$(sha256sum <"$1" | cut -c 1-64)"
}
