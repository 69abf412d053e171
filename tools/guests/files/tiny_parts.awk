# Splits a MIME multipart message into /run/part.1, /run/part.2 …; a part in base64 ends in ".b64", quoted-printable
# is decoded here (RFC 2045 §6.7).
function plain(line,    out, at) {
  out = ""
  while (at = index(line, "=")) {
    out = out substr(line, 1, at - 1) \
      sprintf("%c", (index(hex, substr(line, at + 1, 1)) - 1) * 16 + index(hex, substr(line, at + 2, 1)) - 1)
    line = substr(line, at + 3)
  }
  return out line
}
BEGIN { hex = "0123456789ABCDEF" }
/^--/ { part++; header = 1; encoding = ""; next }
part && header && tolower($0) ~ /^content-transfer-encoding:.*base64/ { encoding = "base64" }
part && header && tolower($0) ~ /^content-transfer-encoding:.*quoted-printable/ { encoding = "quoted" }
part && header && /^\r?$/ { header = 0; next }
part && !header && encoding == "base64" { print > ("/run/part." part ".b64") }
part && !header && encoding == "" { print > ("/run/part." part) }
part && !header && encoding == "quoted" {
  if (/=$/) printf "%s", plain(substr($0, 1, length($0) - 1)) > ("/run/part." part)
  else print plain($0) > ("/run/part." part)
}
