# Downloads a dump: KEY, or the newest one of the database FROM (empty: the main one) that could be
# restored or read. The other container, which has another user, reads it. The name of a database begins
# with a letter, and a year does not.
umask 022
key=${KEY:-}
if [ -z "$key" ]; then
	folder=dumps/${FROM:+$FROM/}
	keys=$(aws s3api list-objects-v2 --bucket "$BUCKET" --prefix "$folder" --query 'Contents[].Key' --output text)
	key=$(echo "$keys" | tr '\t' '\n' | sed -n "\\|^$folder[0-9/]*/[0-9]*\.dump\$|p" | sort | tail -n 1)
	[ -n "$key" ] || fail "no dump in s3://$BUCKET/$folder"
fi
aws s3api head-object --bucket "$BUCKET" --key "$key" --output text \
	--query 'Metadata.[sha256, server, size, verified, tables, rows, counts]' >"$FILES/metadata"
read -r sha256 server size verified tables rows counts <"$FILES/metadata"
aws s3 cp --only-show-errors "s3://$BUCKET/$key" "$FILES/dump"
aws s3 cp --only-show-errors "s3://$BUCKET/${key%.dump}.roles.sql" "$FILES/roles.sql"
[ "$(sha256sum "$FILES/dump" | cut -c 1-64)" = "$sha256" ] ||
	fail "s3://$BUCKET/$key is not what was uploaded: its SHA-256 is not that of its metadata"
echo "$key" >"$FILES/key"
echo "$server" >"$FILES/server_version"
echo "$size" >"$FILES/size"
[ "$verified" != restored ] || echo "tables=$tables,rows=$rows,counts=$counts" >"$FILES/expected"
echo "downloaded s3://$BUCKET/$key: $(wc -c <"$FILES/dump") bytes"
