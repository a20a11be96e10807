// Package e2e tests the built program from outside, with the real tools: the program writes its files, and terraform and
// cdktf have to accept them. Its tests carry the build tag e2e, since they need Node and the provider's 675 MB; make test sets it.
package e2e
