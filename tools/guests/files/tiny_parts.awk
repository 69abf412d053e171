# Splits a MIME multipart message into /run/part.1, /run/part.2 …; a part in base64 ends in ".b64".
/^--/ { part++; header = 1; encoded = 0; next }
part && header && tolower($0) ~ /^content-transfer-encoding:.*base64/ { encoded = 1 }
part && header && $0 ~ /^\r?$/ { header = 0; next }
part && !header { print > ("/run/part." part (encoded ? ".b64" : "")) }
