# restorable prints the table of contents of the dump $1 without the rows, rights and policies of objects
# that it does not define: they belong to extensions. Creating an extension creates its objects with
# their policies, and on RDS they are the master user's.
restorable() {
	pg_restore --list "$1" >"$2"
	awk '
		/^;/ { next }
		# Names have quotes in the entries of rights only.
		{ entry = $0; sub(/^[0-9]+; [0-9]+ [0-9]+ /, "", entry); gsub(/"/, "", entry) }
		FNR == NR {
			if (sub(/^(TABLE|FOREIGN TABLE|VIEW|MATERIALIZED VIEW|SEQUENCE|FUNCTION|PROCEDURE|AGGREGATE|TYPE|DOMAIN|SCHEMA) /,
					"", entry)) defined[entry]
			next
		}
		# begins tells whether an entry begins with a defined object, without its owner, and a separator.
		function begins(entry, separator,   object, name) {
			for (object in defined) {
				name = object
				sub(/ [^ ]*$/, separator, name)
				if (index(entry, name) == 1) return 1
			}
			return 0
		}
		sub(/^(TABLE DATA|SEQUENCE SET|ROW SECURITY) /, "", entry) && !(entry in defined) { next }
		sub(/^POLICY /, "", entry) && !begins(entry, " ") { next }
		sub(/^ACL /, "", entry) {
			if (sub(/ COLUMN /, " ", entry)) { if (!begins(entry, ".")) next }
			else if (sub(/ (TABLE|SEQUENCE|FUNCTION|PROCEDURE|TYPE|DOMAIN|SCHEMA) /, " ", entry) && !(entry in defined)) next
		}
		{ print }
	' "$2" "$2"
}

# extensions restores the schemas and the extensions in the list $1, and removes their entries from it.
# It prints the extensions that cannot be created to $2, which is empty otherwise.
extensions() {
	sed -n '/^[0-9]*; [0-9]* [0-9]* SCHEMA - /p' "$1" >"$1.schemas"
	sed -n '/^[0-9]*; [0-9]* [0-9]* EXTENSION - /p' "$1" >"$1.extensions"
	sed '/^[0-9]*; [0-9]* [0-9]* \(SCHEMA -\|EXTENSION -\|COMMENT - EXTENSION\) /d' "$1" >"$1.others"
	mv "$1.others" "$1"
	restore --use-list="$1.schemas"
	: >"$2"
	while read -r entry; do
		echo "$entry" >"$1.one"
		restore --use-list="$1.one" || { echo "${entry##* EXTENSION - }" >>"$2"; }
	done <"$1.extensions"
}
