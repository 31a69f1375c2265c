package main // Atomic's helper: copy it into your application. Go 1.19 or newer, nothing else.
import "bytes"
import "crypto/hmac"
import "crypto/sha256"
import "encoding/base64"
import "encoding/json"
import "fmt"
import "io"
import "net/http"
import "os"
import "regexp"
import "strings"
import "time"

type Outcome struct { // what Atomic answered. Code 424: the step failed for good; compensate on nothing else
	Code        int `json:"-"`
	ID, Detail  string
	Response    json.RawMessage
	LastAttempt struct{ HTTPStatus int }
}

// PostWorkflow starts a workflow of this application, or joins it, and waits. from: nil outside of a call.
func PostWorkflow(from http.Header, name, path, key string, payload any, options map[string]any) (outcome Outcome) {
	url := or(os.Getenv("ATOMIC_URL"), "http://127.0.0.1:8420") + "/" + or(from.Get("Atomic-Client"), or(os.Getenv("ATOMIC_CLIENT"), "default"))
	post := map[string]any{"workflowName": name, "stepInvokeUrl": or(os.Getenv("APP_URL"), "http://127.0.0.1:9000") + path, "idempotencyKey": key, "payload": payload}
	for member, value := range options {
		post[member] = value
	}
	body, _ := json.Marshal(post)
	outcome.Code, outcome.Detail = 503, "no outcome from Atomic at "+url
	if request, err := http.NewRequest("POST", url, bytes.NewReader(body)); err == nil {
		request.Header = http.Header{"Content-Type": {"application/json"}, "Atomic-Parent": from["Atomic-Parent"], "Prefer": from["Prefer"]}
		if token, _, _ := strings.Cut(read("ATOMIC_TOKEN_FILE"), "\n"); token != "" {
			request.Header.Set("Authorization", "Bearer "+strings.TrimSpace(token))
		}
		if answer, err := http.DefaultClient.Do(request); err == nil {
			defer answer.Body.Close()
			outcome.Code, _ = answer.StatusCode, json.NewDecoder(answer.Body).Decode(&outcome)
		}
	}
	return outcome
}
func PerformWorkflowStep(r *http.Request, path, key string, payload any, options map[string]any) Outcome {
	return PostWorkflow(r.Header, r.Header.Get("Atomic-Workflow"), path, key, payload, options)
}
func (o Outcome) PassOn(w http.ResponseWriter) { // 424 ends the workflow; after 503 it is called again
	w.Header()["Atomic-Suspend"] = map[int][]string{202: {"true"}}[o.Code]
	http.Error(w, o.Detail, map[bool]int{true: 424, false: 503}[o.Code == 424])
}

// Suspend: no step is waited for: 202. read: a file that a variable names, each time: it may change.
func Suspend(r *http.Request)       { r.Header.Set("Prefer", "respond-async") }
func read(name string) string       { text, _ := os.ReadFile(os.Getenv(name)); return string(text) }
func or(value, other string) string { return map[bool]string{true: value, false: other}[value != ""] }

var secret = regexp.MustCompile(`(?m)^whsec_([A-Za-z0-9+/]{32,}=*)$`)

// Signed says whether Atomic has signed a call, by one of our secrets and in the last five minutes; without a file of them, yes.
func Signed(r *http.Request) (good bool) {
	body, _ := io.ReadAll(r.Body)
	r.Body = io.NopCloser(bytes.NewReader(body))
	at, _ := time.ParseDuration(r.Header.Get("Webhook-Timestamp") + "s")
	for _, found := range secret.FindAllStringSubmatch(read("ATOMIC_SIGNING_SECRET_FILE"), -1) {
		key, _ := base64.StdEncoding.DecodeString(found[1])
		mac := hmac.New(sha256.New, key)
		fmt.Fprintf(mac, "%s.%s.%s", r.Header.Get("Webhook-Id"), r.Header.Get("Webhook-Timestamp"), body)
		for _, given := range strings.Fields(r.Header.Get("Webhook-Signature")) {
			good = good || hmac.Equal([]byte("v1,"+base64.StdEncoding.EncodeToString(mac.Sum(nil))), []byte(given))
		}
	}
	return os.Getenv("ATOMIC_SIGNING_SECRET_FILE") == "" || good && time.Since(time.Unix(0, 0).Add(at)).Abs() <= 5*time.Minute
}
