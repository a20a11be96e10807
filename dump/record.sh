# Uploads the record of a rehearsal that succeeded.
[ -n "${SCHEDULED_TIME:-}" ] || SCHEDULED_TIME=now
key=drills/$(date -u -d "$SCHEDULED_TIME" +%Y/%m/%d/%H%M%S).json
aws s3 cp --only-show-errors --checksum-algorithm SHA256 "$WORK/record.json" "s3://$BUCKET/$key"
echo "uploaded s3://$BUCKET/$key"
