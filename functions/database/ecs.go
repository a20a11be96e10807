package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"
)

// ecsService returns the service of ECS whose tasks log in with a service's secret: "" if there is none
// that runs all the time. A scheduled task reads the secret each time that it starts.
func (f *function) ecsService(service string) string {
	if ofPlatform(service) {
		return f.settings.services[service].Service
	}
	return service
}

// restart makes ECS replace the tasks of a service, which read their secret when they start.
func (f *function) restart(ctx context.Context, name string) error {
	service := f.ecsService(name)
	if service == "" {
		return nil
	}
	err := f.permitted(ctx, func() error {
		_, err := f.ecs.UpdateService(ctx, &ecs.UpdateServiceInput{
			Cluster: &f.settings.cluster, Service: &service, ForceNewDeployment: true,
		})
		return err
	})
	if noService(err) {
		f.log.InfoContext(ctx, "no service to deploy again", "service", service)
		return nil
	}
	if err != nil {
		return fmt.Errorf("deploying %s again: %w", service, err)
	}
	f.log.InfoContext(ctx, "deployed again, to read its new password", "service", service)
	return nil
}

// restartUnlessDeployedSince is restart for a rotation that may have done it already: a service
// whose newest deployment began after a moment is not deployed again.
func (f *function) restartUnlessDeployedSince(ctx context.Context, service string, moment time.Time) error {
	if f.ecsService(service) == "" {
		return nil
	}
	deployed, err := f.lastDeployment(ctx, f.ecsService(service))
	if err != nil {
		return err
	}
	if deployed.After(moment) {
		f.log.InfoContext(ctx, "deployed since, so not again", "service", service, "deployed", deployed)
		return nil
	}
	return f.restart(ctx, service)
}

// lastDeployment returns when the newest deployment of a service began. If there is no service, the
// time is zero.
func (f *function) lastDeployment(ctx context.Context, service string) (time.Time, error) {
	var answer *ecs.DescribeServicesOutput
	err := f.permitted(ctx, func() (err error) {
		answer, err = f.ecs.DescribeServices(ctx, &ecs.DescribeServicesInput{
			Cluster: &f.settings.cluster, Services: []string{service},
		})
		return err
	})
	if noService(err) {
		return time.Time{}, nil
	}
	if err != nil {
		return time.Time{}, fmt.Errorf("deployments of %s: %w", service, err)
	}
	var last time.Time
	for _, s := range answer.Services {
		for _, d := range s.Deployments {
			if created := aws.ToTime(d.CreatedAt); aws.ToString(d.Status) == "PRIMARY" && created.After(last) {
				last = created
			}
		}
	}
	return last, nil
}

// noService tells whether a call failed because there is no such service: it is not created yet, or
// was deleted.
func noService(err error) bool {
	return errors.As(err, new(*types.ServiceNotFoundException)) ||
		errors.As(err, new(*types.ServiceNotActiveException)) ||
		errors.As(err, new(*types.ClusterNotFoundException))
}
