# Uploads the record of a rehearsal that succeeded, of the database FROM; empty: the main one.
[ -n "${SCHEDULED_TIME:-}" ] || SCHEDULED_TIME=now
key=drills/${FROM:+$FROM/}$(date -u -d "$SCHEDULED_TIME" +%Y/%m/%d/%H%M%S).json
aws s3 cp --only-show-errors --checksum-algorithm SHA256 "$WORK/record.json" "s3://$BUCKET/$key"
echo "uploaded s3://$BUCKET/$key"
