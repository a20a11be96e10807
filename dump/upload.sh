# Uploads the dump that was checked. The names of the roles come first, so that a dump that is in the
# bucket has them. A dump that could not be restored gets another name, so that nothing takes it for a
# good one, and then the task fails. FROM is the database that was dumped; empty: the main one, which has
# no folder of its own.
[ -n "${SCHEDULED_TIME:-}" ] || SCHEDULED_TIME=now
key=dumps/${FROM:+$FROM/}$(date -u -d "$SCHEDULED_TIME" +%Y/%m/%d/%H%M%S)
facts=$(cat "$WORK/facts")
case $facts in
*"sha256=$(sha256sum "$WORK/dump" | cut -c 1-64),"*) ;;
*) fail "the dump changed after it was checked" ;;
esac
case $facts in
*,verified=failed) key=$key.failed ;;
esac
# S3 compares the checksum of every part with what it received.
aws s3 cp --only-show-errors --checksum-algorithm SHA256 "$WORK/roles.sql" "s3://$BUCKET/$key.roles.sql"
aws s3 cp --only-show-errors --checksum-algorithm SHA256 --metadata "$facts" "$WORK/dump" "s3://$BUCKET/$key.dump"
echo "uploaded s3://$BUCKET/$key.dump: $facts"
case $key in
*.failed) fail "this dump could not be restored: see the log of the container check" ;;
esac
