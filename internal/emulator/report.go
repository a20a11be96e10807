package emulator

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
)

// Report is what an emulator has checked since its start. Each map has counts.
type Report struct {
	// Checked are the calls that were held against AWS's model of their operation, by service.
	Checked map[string]int

	// Unchecked are what could not be checked because there is no model, by name.
	Unchecked map[string]int

	// Violations are the calls that were refused because they violate the model.
	Violations map[string]int

	// Granted are the actions that the roles of functions allow, with how many calls used each. A
	// name has the form "role: Sid: action".
	Granted map[string]int

	// Denied are the calls of functions that their roles do not allow.
	Denied map[string]int
}

// Report returns what the emulator has checked.
func (s *Server) Report(ctx context.Context) (*Report, error) {
	report, err := s.report(ctx)
	if err != nil {
		return nil, fmt.Errorf("emulator: report: %w", err)
	}
	return report, nil
}

func (s *Server) report(ctx context.Context) (*Report, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, s.URL+"/emulator/report", nil)
	if err != nil {
		return nil, err
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("want status 200, have %s", answer.Status)
	}
	report := new(Report)
	return report, json.NewDecoder(answer.Body).Decode(report)
}

// TaskKey returns an access key for a program of a task. Its calls are evaluated against the
// policies of the task's role. Both are ARNs.
func (s *Server) TaskKey(ctx context.Context, task, role string) (string, error) {
	query := url.Values{"task": {task}, "role": {role}}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, s.URL+"/emulator/task?"+query.Encode(), nil)
	if err != nil {
		return "", fmt.Errorf("emulator: task: %w", err)
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return "", fmt.Errorf("emulator: task: %w", err)
	}
	defer answer.Body.Close()
	key, err := io.ReadAll(answer.Body)
	if err != nil || answer.StatusCode != http.StatusOK {
		return "", fmt.Errorf("emulator: task: want status 200, have %s (%w)", answer.Status, err)
	}
	return string(key), nil
}
