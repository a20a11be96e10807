package main

import (
	"crypto/hmac"
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
)

// newPassword draws 256 bits, as 43 characters that need no escape in a connection URL.
func newPassword() string {
	bits := make([]byte, 32)
	rand.Read(bits)
	return base64.RawURLEncoding.EncodeToString(bits)
}

// scramIterations is PostgreSQL's default (scram_iterations). A password of 256 random bits needs no
// more.
const scramIterations = 4096

// scramVerifier returns what PostgreSQL stores of a password: the server can check a login with it,
// and nobody can log in with it. It is sent instead of the password, which therefore is in no log of
// the server, whatever the server logs of its statements.
//
//	SCRAM-SHA-256$<iterations>:<salt>$<StoredKey>:<ServerKey>
//
// See https://www.postgresql.org/docs/current/catalog-pg-authid.html, RFC 5802 and RFC 7677. The
// password must be ASCII, so that SASLprep changes nothing.
func scramVerifier(password string, salt []byte) (string, error) {
	salted, err := pbkdf2.Key(sha256.New, password, salt, scramIterations, sha256.Size)
	if err != nil {
		return "", err
	}
	mac := func(key []byte, text string) []byte {
		h := hmac.New(sha256.New, key)
		h.Write([]byte(text))
		return h.Sum(nil)
	}
	storedKey := sha256.Sum256(mac(salted, "Client Key"))
	encode := base64.StdEncoding.EncodeToString
	return fmt.Sprintf("SCRAM-SHA-256$%d:%s$%s:%s",
		scramIterations, encode(salt), encode(storedKey[:]), encode(mac(salted, "Server Key"))), nil
}

func newSalt() []byte {
	salt := make([]byte, 16)
	rand.Read(salt)
	return salt
}
