// The steps of the matrix (../main.rs) with go-git.
package main

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"

	"github.com/go-git/go-git/v5"
	"github.com/go-git/go-git/v5/config"
	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/storage/memory"
)

func main() {
	if err := run(os.Args[1], os.Args[2:]); err != nil && !errors.Is(err, git.NoErrAlreadyUpToDate) {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(step string, words []string) error {
	switch step {
	case "ls-remote":
		return lsRemote(words[0])
	case "clone":
		return clone(words[1], &git.CloneOptions{URL: words[0]})
	case "clone-branch":
		branch := plumbing.NewBranchReferenceName(words[2])
		return clone(words[1], &git.CloneOptions{
			URL: words[0], ReferenceName: branch, SingleBranch: true, Tags: git.NoTags,
		})
	case "clone-depth":
		depth, err := strconv.Atoi(words[2])
		if err != nil {
			return err
		}
		return clone(words[1], &git.CloneOptions{URL: words[0], Depth: depth, Tags: git.NoTags})
	case "fetch":
		return fetch(words[0])
	case "push":
		return push(words[0], words[1], words[2:])
	}
	return fmt.Errorf("no step %s", step)
}

func lsRemote(url string) error {
	remote := git.NewRemote(memory.NewStorage(), &config.RemoteConfig{Name: "origin", URLs: []string{url}})
	refs, err := remote.List(&git.ListOptions{})
	for _, ref := range refs {
		fmt.Printf("%s\t%s\n", ref.Hash(), ref.Name())
	}
	if err != nil && err.Error() == "remote repository is empty" {
		return nil
	}
	return err
}

func clone(dir string, options *git.CloneOptions) error {
	_, err := git.PlainClone(dir, false, options)
	return err
}

func fetch(dir string) error {
	repository, err := git.PlainOpen(dir)
	if err != nil {
		return err
	}
	return repository.Fetch(&git.FetchOptions{RemoteName: "origin", Tags: git.AllTags})
}

func push(dir, url string, words []string) error {
	repository, err := git.PlainOpen(dir)
	if err != nil {
		return err
	}
	options := &git.PushOptions{RemoteName: "origin", RemoteURL: url}
	for _, word := range words {
		if option, is := strings.CutPrefix(word, "--push-option="); is {
			key, value, _ := strings.Cut(option, "=")
			options.Options = map[string]string{key: value}
		} else if word == "--atomic" {
			options.Atomic = true
		} else {
			options.RefSpecs = append(options.RefSpecs, config.RefSpec(word))
		}
	}
	return repository.Push(options)
}
